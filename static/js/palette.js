// The command palette: the search form of the top bar, with results below it and the keyboard.
(() => {
  "use strict";
  const form = document.querySelector("[data-palette]");
  if (!form) return;
  const input = form.querySelector("input[name=q]");
  const list = document.getElementById("palette");
  let chosen = -1;
  const options = () => [...list.querySelectorAll("[role=option]:not([aria-disabled])")];

  const show = (open) => {
    list.hidden = !open;
    input.setAttribute("aria-expanded", String(open));
    if (!open) choose(-1);
  };
  const choose = (index) => {
    const all = options();
    chosen = index < all.length ? index : -1;
    all.forEach((option, i) => option.setAttribute("aria-selected", String(i === chosen)));
    const now = all[chosen];
    if (now) {
      input.setAttribute("aria-activedescendant", now.id);
      now.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };

  list.addEventListener("htmx:afterSwap", () => {
    show(document.activeElement === input && list.childElementCount > 0);
    choose(input.value.trim() ? 0 : -1);
  });
  input.addEventListener("keydown", (event) => {
    const all = options();
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (list.hidden || !all.length) return;
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      choose(chosen < 0 ? (step > 0 ? 0 : all.length - 1) : (chosen + step + all.length) % all.length);
    } else if (event.key === "Escape") {
      if (list.hidden) input.blur();
      show(false);
    } else if (event.key === "Enter" && !list.hidden && all[chosen]) {
      event.preventDefault();
      all[chosen].click();
    }
  });
  input.addEventListener("blur", () => setTimeout(() => !form.contains(document.activeElement) && show(false), 150));
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "k") return;
    event.preventDefault();
    if (form.offsetParent === null) location.assign(form.action);
    else {
      input.focus();
      input.select();
    }
  });
})();
