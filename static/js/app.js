// The shell: theme, menus, toasts. Everything here also works as a plain form or link.
(() => {
  "use strict";
  const root = document.documentElement;
  const order = ["", "light", "dark"];

  // Theme: shown at once, saved in the background; the form itself is the fall-back.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-theme-form]")) return;
    event.preventDefault();
    const now = root.dataset.theme || "";
    const theme = order[(order.indexOf(now) + 1) % order.length];
    const body = new FormData(form);
    body.set("theme", theme);
    root.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-theme-form] button")) {
      button.dataset.now = theme || "system";
      button.value = order[(order.indexOf(theme) + 1) % order.length];
    }
    document.dispatchEvent(new CustomEvent("theme:changed"));
    fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => form.submit());
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    document.dispatchEvent(new CustomEvent("theme:changed")),
  );

  // Menus close on Escape and on a click elsewhere.
  const closeMenus = (except) => {
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      if (!menu.contains(except)) menu.open = false;
    }
  };
  document.addEventListener("click", (event) => closeMenus(event.target));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.activeElement?.closest("details[data-menu][open]");
    closeMenus(null);
    menu?.querySelector("summary").focus();
  });

  // A toast: {level: info|warning|error, text, url, count}. An error stays until it is dismissed.
  const shapes = { info: "good", warning: "warn", error: "bad" };
  const toast = ({ level = "info", text = "", url = "", tab = "" }) => {
    const region = document.getElementById("toasts");
    if (!region || !text) return;
    const box = document.createElement("div");
    box.className = `note ${shapes[level] || "good"}`;
    const words = document.createElement(url.startsWith("/") ? "a" : "span");
    if (url.startsWith("/")) words.href = url;
    if (tab) words.target = tab;
    words.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "x";
    close.textContent = "×";
    close.setAttribute("aria-label", region.dataset.dismiss);
    close.addEventListener("click", () => box.remove());
    box.append(words, close);
    region.append(box);
    while (region.children.length > 4) region.firstElementChild.remove();
    if (level !== "error") setTimeout(() => box.remove(), 8000);
  };
  const setUnread = (count) => {
    const badge = document.getElementById("notice-count");
    if (!badge || !Number.isInteger(count)) return;
    badge.textContent = count;
    badge.hidden = count < 1;
  };
  document.addEventListener("live:notice", (event) => {
    // An error that the server keeps until it is read is drawn by the server; the rest passes by.
    const kept = event.detail?.id && event.detail.level === "error" && document.getElementById("notices");
    if (kept) htmx.ajax("GET", kept.dataset.url, { target: "#notices", swap: "outerHTML" });
    else toast(event.detail || {});
    setUnread(event.detail?.unread);
  });
  window.quant = Object.freeze({ toast, setUnread });

  // A part of the page that asks after the log-in has ended: said once, and nothing typed is touched.
  let told = false;
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status !== 401 || told) return;
    told = true;
    const region = document.getElementById("toasts").dataset;
    toast({ level: "error", text: region.loggedOut, url: region.login, tab: "_blank" });
  });

  // Chosen at once where a form asks for it; the button stays for those without scripts.
  document.addEventListener("change", (event) => event.target.form?.matches("[data-autosubmit]") && event.target.form.requestSubmit());

  // Dialogs opened by a button; without scripts the same form is a page of its own.
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog]");
    const dialog = opener && document.getElementById(opener.dataset.dialog);
    if (dialog instanceof HTMLDialogElement) {
      event.preventDefault();
      dialog.showModal();
    }
    if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
  });

  // A refusal swapped in by htmx is announced; a form with an error gets the focus back.
  document.addEventListener("htmx:afterSettle", () => document.querySelector("[aria-invalid=true]")?.focus());
})();
