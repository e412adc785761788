(() => {
  "use strict";
  const tools = document.getElementById("tools");
  const body = document.getElementById("rows");
  const count = document.getElementById("count");
  const none = document.getElementById("none");
  const listed = [...body.rows];
  const ranks = new Map(listed.map((row) => [row, Number(row.dataset.rank)]));
  const by = { listed: () => 0, best: (a, b) => ranks.get(a) - ranks.get(b), worst: (a, b) => ranks.get(b) - ranks.get(a) };
  const hits = { all: 0, 1: 1, 10: 10 };
  let order = "listed";

  const isShown = (row) => ranks.get(row) > hits[tools.elements.show.value];

  function apply() {
    const show = tools.elements.show.value;
    document.documentElement.dataset.size = tools.elements.size.value;
    body.dataset.show = show;
    if (tools.elements.order.value !== order) {
      order = tools.elements.order.value;
      body.append(...listed.toSorted(by[order]));
    }
    const shown = listed.filter(isShown).length;
    const text = (number) => number.toLocaleString("en");
    count.textContent = shown === listed.length ? "" : `${text(shown)} of ${text(listed.length)} shown`;
    none.hidden = shown > 0;
  }

  // Rows that a link or a key jumps to must not hide behind the controls, whose height depends on the window.
  function measure() {
    document.documentElement.style.setProperty("--top", `${tools.offsetHeight}px`);
  }
  new ResizeObserver(measure).observe(tools);

  tools.addEventListener("change", () => {
    const above = tools.getBoundingClientRect().top <= 0;
    apply();
    // The rows in view are others now: start at the first of them.
    if (above) body.parentElement.scrollIntoView({ block: "start", inline: "start" });
  });
  tools.addEventListener("submit", (event) => event.preventDefault());

  document.addEventListener("keydown", (event) => {
    const step = { j: 1, k: -1 }[event.key];
    const isTyping = event.target.closest("select, input:not([type=radio]), textarea");
    if (!step || isTyping || event.ctrlKey || event.altKey || event.metaKey) return;
    const rows = [...body.rows].filter(isShown);
    const focused = rows.indexOf(document.activeElement.closest("tr"));
    const top = tools.offsetHeight;
    const first = rows.findIndex((row) => row.getBoundingClientRect().bottom > top + 8);
    const next = focused >= 0 ? focused + step : Math.max(first, 0);
    const row = rows[Math.min(Math.max(next, 0), rows.length - 1)];
    if (!row) return;
    event.preventDefault();
    row.querySelector("a").focus({ preventScroll: true });
    row.scrollIntoView({ block: "start", inline: "nearest" });
  });

  tools.hidden = false;
  apply();
  measure();
  document.querySelector("tr:target")?.scrollIntoView({ block: "start", inline: "start" });
})();
