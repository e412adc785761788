"""Times OpenCV on the strokes that the renderer draws: render_peer.py strokes.ndjson side [--fscoco].

Antialiased: one cv2.polylines call per sketch (LINE_AA, 4 bits of sub-pixels), the line 3/256 of the side
wide in whole pixels, as OpenCV wants it. The points are scaled and turned into arrays beforehand, outside
of the time; ours scales them within it. Times are processor time, of one thread. --fscoco: 1-pixel polylines and a 3 x 3 erosion instead.
"""

import argparse
import json
import time

import cv2
import numpy as np

SHIFT = 4


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("strokes")
    parser.add_argument("side", type=int)
    parser.add_argument("--fscoco", action="store_true")
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    side = arguments.side
    cv2.setNumThreads(1)

    sketches = []
    with open(arguments.strokes) as file:
        for record in map(json.loads, file):
            scale = side / record["canvas"]
            if arguments.fscoco:
                lines = [np.asarray(s, np.float64) * scale for s in record["strokes"]]
                sketches.append([line.astype(np.int32) for line in lines])
            else:
                # OpenCV's pixel centres are whole numbers, ours lie at halves.
                lines = [np.asarray(s, np.float64) * scale - 0.5 for s in record["strokes"]]
                sketches.append([np.rint(line * (1 << SHIFT)).astype(np.int32) for line in lines])
    thickness = max(1, round(side * 3 / 256))
    kernel = np.ones((3, 3), np.uint8)
    name = f"opencv {cv2.__version__}"
    style = "fscoco" if arguments.fscoco else f"LINE_AA, thickness {thickness}"
    print(f"# {len(sketches)} sketches, side {side}, {style}")
    for run in range(5):
        start, drawn, ink = time.process_time(), 0, 0
        while time.process_time() - start < arguments.seconds:
            for lines in sketches:
                picture = np.full((side, side), 255, np.uint8)
                if arguments.fscoco:
                    cv2.polylines(picture, lines, False, 0, 1, cv2.LINE_8)
                    picture = cv2.erode(picture, kernel)
                else:
                    cv2.polylines(picture, lines, False, 0, thickness, cv2.LINE_AA, SHIFT)
                ink += 255 - int(picture[side // 2, side // 2])
            drawn += len(sketches)
        print(f"{name},{run},{drawn / (time.process_time() - start):.0f},{ink}", flush=True)


if __name__ == "__main__":
    main()
