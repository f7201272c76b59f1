// Binds allauth's passkey functions to the form that names one in data-passkey.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const button = form.querySelector("button");
    if (!window.PublicKeyCredential) {
      form.hidden = true;
      continue;
    }
    window.allauth.webauthn.forms[form.dataset.passkey]({ ids: JSON.parse(form.dataset.passkeyIds) });
    document.addEventListener("allauth.error", (event) => {
      // Cancelled by the person, or refused by the device: the page stays as it is.
      event.preventDefault();
      button.removeAttribute("aria-busy");
    });
  }
});
