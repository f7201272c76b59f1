/* The board of quotes: drawn anew when the socket says that quotes came, every 2 s without one, and every 5 s for the ages. */
(function () {
  "use strict";
  const SHORTEST = 500, AGES = 5000;
  let asking = false, again = false, asked = 0;

  function draw() {
    const board = document.getElementById("board");
    if (!board || document.hidden) return;
    if (asking) { again = true; return; }
    asking = true;
    asked = Date.now();
    htmx.ajax("GET", board.dataset.board, { target: "#board", swap: "outerHTML" }).catch(() => {}).then(() => {
      asking = false;
      if (again) { again = false; setTimeout(draw, SHORTEST); }
    });
  }

  document.addEventListener("live:quotes", draw);
  /* While no socket is up. */
  document.addEventListener("live:poll", draw);
  setInterval(() => { if (Date.now() - asked >= AGES) draw(); }, AGES);
})();
