"use strict";
// Shows a field only while the choice it belongs to is made, and moves the focus to the first error.
for (const form of document.querySelectorAll("[data-config-form]")) {
  const chosen = (name) => {
    const input = form.querySelector(`input[name="${name}"]:checked`) || form.querySelector(`[name="${name}"]:not([type=radio])`);
    return input ? input.value : "";
  };
  const update = () => {
    for (const row of form.querySelectorAll("[data-only]")) row.hidden = !row.dataset.onlyValue.split(" ").includes(chosen(row.dataset.only));
  };
  form.addEventListener("change", update);
  update();
  const first = form.dataset.firstError;
  if (first) {
    const row = document.getElementById(`row-${first}`);
    if (row) row.hidden = false;
    form.querySelector(`[name="${first}"]`)?.focus();
  }
}
