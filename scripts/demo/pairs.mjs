#!/usr/bin/env node
// Joins OpenMoji's black line drawings (the sketches) with renders of Microsoft's Fluent Emoji (the photos)
// by code point, and writes a plain pair folder: sketch/, photo/ and pairs.csv.
//
// Usage: node scripts/demo/pairs.mjs CACHE OUT
//   CACHE  folder that fetch.sh filled (holds node_modules/)
//   OUT    folder to write; made when missing
//
// Running it twice changes nothing; after an interrupted run the next one completes what is missing. The split
// depends on the code points alone, so it is the same on every machine.

import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** Share of the emoji families that is held out: about 400 of 1,607 emoji, enough for a 95 % interval of ±4 points. */
const HELD_OUT_SHARE = 0.25;

const ZERO_WIDTH_JOINER = "200D";
const EMOJI_PRESENTATION = "FE0F";
const PERSON = "1F9D1";
const GENDERED_PERSONS = new Set([PERSON, "1F468", "1F469"]);

// The two artists drew neither's pictures from the other's, but each reuses its own: the farmer, the man and the
// woman farmer differ by a hairstyle, the hearts by their colour. Were some in training and others held out, part of
// the held-out score would be memory. So emoji are put into families, and a family falls wholly on one side. Two
// emoji are of one family when any of the three rules below says so.
//
// Rule 1 is `variantKey`: the same subject in another gender, colour or mood, joined by a zero-width joiner.

/** Rule 2: subgroups of OpenMoji's data/openmoji.json that draw one picture over and over. */
const FAMILY_SUBGROUPS = new Set([
  "family", // two to four busts, in every combination
  "geometric", // circles, squares and diamonds in every colour
  "heart",
  "keycap",
  "person", // one bust with changing hair and age
]);

/** Rule 3: near-copies within a mixed subgroup, as ranges (first, last) and single code points. */
const FAMILIES = [
  [["1F550", "1F567"]], // clock faces
  [["1F311", "1F318"], "1F31A", "1F31D"], // moon phases, and the full and new moon with a face
  ["1F31B", "1F31C"], // quarter moons with a face
  [["1F30D", "1F30F"]], // globes
  [["1F4D2", "1F4D9"]], // closed books
  [["1F4B4", "1F4B7"]], // banknotes
  [["1F4EA", "1F4ED"]], // mailboxes
  ["1F4E4", "1F4E5"], // trays
  [["1F507", "1F50A"]], // loudspeakers
  ["1F50D", "1F50E"], // magnifying glasses
  ["1F512", "1F513"], // padlocks
  ["231B", "23F3"], // hourglasses
  [["1F947", "1F949"]], // medals
  ["1F34E", "1F34F"], // apples
  ["1F4BF", "1F4C0"], // discs
  [["2753", "2755"], "2757"], // question and exclamation marks
  ["1F6B9", "1F6BA"], // men's and women's room
  ["1F501", "1F502"], // repeat
  ["1F385", "1F936", "1F9D1-200D-1F384"], // Santa Claus
  ["1F478", "1F934", "1FAC5"], // royalty
  ["1F930", "1FAC3", "1FAC4"], // pregnancy
  ["1F57A", "1F483"], // dancers
  ["1F64D", "1F64E"], // frowning and pouting persons
  ["1F46A", "1F468-200D-1F466"], // the family that openmoji.json files under person-symbol
  // One picture turned or mirrored.
  [["2194", "2199"], "27A1", ["2B05", "2B07"]], // straight arrows
  ["21A9", "21AA", "2934", "2935"], // curved arrows
  [["23E9", "23EC"], "25B6", "25C0", "1F53C", "1F53D"], // play and wind buttons
  ["23ED", "23EE"], // skip buttons
  [["1F446", "1F449"], "261D"], // pointing hands
  ["1F44D", "1F44E"], // thumbs
  ["1F91B", "1F91C"], // fists
  ["1FAF1", "1FAF2"], // sideways hands
  ["1FAF3", "1FAF4"], // palms
  ["1FAF7", "1FAF8"], // pushing hands
];

/** A failure with its remedy, printed as one line. */
class Failure extends Error {}

/** `1f469-200d-2708-fe0f` → `1F469-200D-2708`: the two packages disagree on case and on the presentation selector. */
function normalise(code) {
  return code
    .toUpperCase()
    .split("-")
    .filter((point) => point !== EMOJI_PRESENTATION)
    .join("-");
}

function hasSkinTone(code) {
  return code.split("-").some((point) => point >= "1F3FB" && point <= "1F3FF" && point.length === 5);
}

/** Country flags, which are pairs of regional indicators. */
function isCountryFlag(code) {
  return /^1F1(E[6-9A-F]|F[0-9A-F])/.test(code);
}

/**
 * What an emoji shows, without gender: man, woman and person count as one when something follows them (the profession
 * is the subject); any other joined sequence is a variant of its first code point (polar bear: bear).
 */
function variantKey(code) {
  const points = code.split("-");
  if (GENDERED_PERSONS.has(points[0]) && points.length > 1) {
    const rest = points.slice(1).map((point) => (GENDERED_PERSONS.has(point) ? PERSON : point));
    return [PERSON, ...rest].join("-");
  }
  const joiner = points.indexOf(ZERO_WIDTH_JOINER);
  return (joiner < 0 ? points : points.slice(0, joiner)).join("-");
}

/** Whether `code` is a member of one of FAMILIES. */
function inFamily(code, family) {
  return family.some((member) => {
    if (typeof member === "string") return code === member;
    const [first, last] = member.map((point) => parseInt(point, 16));
    const point = code.includes("-") ? NaN : parseInt(code, 16);
    return first <= point && point <= last;
  });
}

/** Maps every code to its family's name, the first code in it, by joining the three rules (union-find). */
function familiesOf(codes, subgroups) {
  const parent = new Map();
  const root = (node) => {
    while (parent.has(node)) node = parent.get(node);
    return node;
  };
  const join = (a, b) => {
    const [first, second] = [root(a), root(b)];
    if (first !== second) parent.set(second, first);
  };
  for (const code of codes) {
    join(`variant ${variantKey(code)}`, code);
    if (FAMILY_SUBGROUPS.has(subgroups.get(code))) join(`subgroup ${subgroups.get(code)}`, code);
    FAMILIES.forEach((family, index) => inFamily(code, family) && join(`family ${index}`, code));
  }
  const names = new Map();
  for (const code of codes) {
    if (!names.has(root(code))) names.set(root(code), code);
  }
  return new Map(codes.map((code) => [code, names.get(root(code))]));
}

/** A family is held out when the first 32 bits of its name's SHA-256 fall in the lowest HELD_OUT_SHARE of their range. */
function isHeldOut(family) {
  const digest = createHash("sha256").update(family).digest();
  return digest.readUInt32BE(0) < HELD_OUT_SHARE * 2 ** 32;
}

/** Maps normalised codes to the files in `folder` that end in `extension`. */
function filesByCode(folder, extension) {
  const files = fs.readdirSync(folder).filter((file) => file.endsWith(extension));
  return new Map(files.map((file) => [normalise(path.basename(file, extension)), path.join(folder, file)]));
}

/** The folder of an installed package, after comparing its version with the one pinned in package.json. */
function packageFolder(cache, name) {
  const pins = JSON.parse(fs.readFileSync(fileURLToPath(new URL("package.json", import.meta.url)), "utf8"));
  const folder = path.join(cache, "node_modules", name);
  let found = "nothing";
  try {
    found = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8")).version;
  } catch {
    // Reported below as "nothing found".
  }
  const expected = pins.dependencies[name];
  if (found !== expected) {
    throw new Failure(`${folder}: expected ${name} ${expected}, found ${found}: run scripts/demo/fetch.sh ${cache}`);
  }
  return folder;
}

/** The size of a plain file, or -1 where there is none. */
function sizeOf(file) {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  return stat?.isFile() ? stat.size : -1;
}

/** Makes `write` appear under its name only when complete. */
function writeWhole(file, write) {
  const part = `${file}.part`;
  write(part);
  fs.renameSync(part, file);
}

/** Copies `from` to `to` unless it is there already; says whether it did. */
function copyIfMissing(from, to) {
  // A name is only ever given to a whole copy, so that size alone tells whether it is this one.
  if (sizeOf(to) === sizeOf(from)) return false;
  writeWhole(to, (part) => fs.copyFileSync(from, part));
  return true;
}

/** Writes `text` to `file` unless it stands there already; says whether it did. */
function writeIfChanged(file, text) {
  if (sizeOf(file) === Buffer.byteLength(text) && fs.readFileSync(file, "utf8") === text) return false;
  writeWhole(file, (part) => fs.writeFileSync(part, text));
  return true;
}

const ATTRIBUTION = `The pictures in this folder are other people's work, renamed and otherwise unchanged.

sketch/  OpenMoji 17.0.0, https://openmoji.org, by the OpenMoji project at HfG Schwäbisch Gmünd and contributors.
         Licence: CC BY-SA 4.0, https://creativecommons.org/licenses/by-sa/4.0/
photo/   Fluent Emoji, https://github.com/microsoft/fluentui-emoji, (c) Microsoft Corporation,
         as packaged in @lobehub/fluent-emoji-3d 1.1.0. Licence: MIT, https://opensource.org/license/mit
`;

function main(cache, out) {
  const openmoji = packageFolder(cache, "openmoji");
  const fluent = packageFolder(cache, "@lobehub/fluent-emoji-3d");
  const drawings = filesByCode(path.join(openmoji, "black", "svg"), ".svg");
  const renders = filesByCode(path.join(fluent, "assets"), ".webp");
  const entries = JSON.parse(fs.readFileSync(path.join(openmoji, "data", "openmoji.json"), "utf8"));
  const subgroups = new Map(entries.map((entry) => [normalise(entry.hexcode), entry.subgroups]));

  const codes = [...drawings.keys()]
    .filter((code) => renders.has(code) && !hasSkinTone(code) && !isCountryFlag(code))
    .sort();
  if (codes.length === 0) {
    throw new Failure(`${cache}: no emoji stands in both packages: delete this folder and run scripts/demo/fetch.sh again`);
  }
  const families = familiesOf(codes, subgroups);
  // A family's number is its label: pairs of one label are never each other's negatives.
  const labels = new Map([...new Set(families.values())].map((family, index) => [family, index]));

  fs.mkdirSync(path.join(out, "sketch"), { recursive: true });
  fs.mkdirSync(path.join(out, "photo"), { recursive: true });
  const rows = ["sketch,photo,split,label"];
  let heldOut = 0;
  let written = 0;
  for (const code of codes) {
    const family = families.get(code);
    const sketch = `sketch/${code}.svg`;
    const photo = `photo/${code}.webp`;
    written += copyIfMissing(drawings.get(code), path.join(out, sketch));
    written += copyIfMissing(renders.get(code), path.join(out, photo));
    heldOut += isHeldOut(family);
    rows.push(`${sketch},${photo},${isHeldOut(family) ? "val" : "train"},${labels.get(family)}`);
  }
  written += writeIfChanged(path.join(out, "ATTRIBUTION.txt"), ATTRIBUTION);
  // Last, so that a folder with a pairs.csv is a whole one.
  written += writeIfChanged(path.join(out, "pairs.csv"), `${rows.join("\n")}\n`);
  console.log(
    `${out}: ${codes.length} emoji pairs in ${labels.size} families, ${codes.length - heldOut} to train, ` +
      `${heldOut} held out (${written} files written)`,
  );
}

const [cache, out, ...rest] = process.argv.slice(2);
if (cache === undefined || out === undefined || rest.length > 0) {
  console.error("usage: node scripts/demo/pairs.mjs CACHE OUT");
  process.exit(2);
}
try {
  main(cache, out);
} catch (error) {
  // Failures and file-system errors (which name their path) are for the reader; anything else is a defect.
  if (!(error instanceof Failure) && error.code === undefined) throw error;
  console.error(`error: ${error.message}`);
  process.exit(1);
}
