// The columns of a list that its reader wants to see, remembered in this browser.
(() => {
  "use strict";
  for (const menu of document.querySelectorAll("details[data-columns]")) {
    const heads = [...document.querySelectorAll(`${menu.dataset.table} > thead th`)];
    const key = `columns:${menu.dataset.columns}`;
    // Rules of a sheet, not of cells: they hold for rows that a live line puts in as well.
    const sheet = new CSSStyleSheet();
    document.adoptedStyleSheets.push(sheet);

    let hidden = new Set();
    try {
      hidden = new Set(JSON.parse(localStorage.getItem(key)) ?? []);
    } catch {
      // What another program left there means nothing here.
    }
    const apply = () => {
      const cells = heads.flatMap((_, at) => (hidden.has(at) ? [`${menu.dataset.table} > * > tr > :nth-child(${at + 1})`] : []));
      sheet.replaceSync(cells.length ? `${cells.join()}{display:none}` : "");
    };

    // What a row is stays: its tick and its name.
    const named = heads.findIndex((head) => !head.querySelector(".vh"));
    heads.forEach((head, at) => {
      if (at <= named || head.querySelector(".vh")) return;
      const label = document.createElement("label");
      const tick = Object.assign(document.createElement("input"), { type: "checkbox", checked: !hidden.has(at) });
      tick.setAttribute("form", ""); // It is no filter of the form around it.
      tick.addEventListener("change", () => {
        hidden[tick.checked ? "delete" : "add"](at);
        localStorage.setItem(key, JSON.stringify([...hidden]));
        apply();
      });
      label.append(tick, head.textContent.trim());
      menu.querySelector(".sheet").append(label);
    });
    hidden = new Set([...hidden].filter((at) => at > named && at < heads.length));
    apply();
    menu.hidden = heads.length < 3;
  }
})();
