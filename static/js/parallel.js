// Parallel coordinates: a line that is pointed at stands out, a click keeps it so until the next. The legend's keys
// do the same: <figure data-parallel> with <g data-line="0"> in its drawings, and [data-line-of="0"] anywhere.
(() => {
  "use strict";
  const figures = document.querySelectorAll("[data-parallel]");
  let kept = "";
  const show = (line) => {
    for (const figure of figures) {
      figure.toggleAttribute("data-chosen", line !== "");
      for (const one of figure.querySelectorAll("[data-line]")) one.toggleAttribute("data-on", one.dataset.line === line);
    }
  };
  const lineOf = (target) => {
    const part = target.closest?.("[data-line], [data-line-of]");
    return part && (part.dataset.line ?? part.dataset.lineOf);
  };
  for (const type of ["pointerover", "focusin"]) {
    document.addEventListener(type, (event) => show(lineOf(event.target) ?? kept));
  }
  document.addEventListener("click", (event) => {
    const line = lineOf(event.target);
    if (line === null || line === undefined || event.target.closest("a")) return;
    kept = kept === line ? "" : line;
    show(kept);
  });
})();
