// Enhancements only: every page also works without JavaScript.
"use strict";

// Confirmation: <form data-confirm="Delete this post?">. Without JavaScript, the form's button opens a page that asks;
// submit() ignores the button and sends the form itself.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.confirm) return;
  event.preventDefault();
  if (window.confirm(form.dataset.confirm)) form.submit();
});

// Rejects a picture that is too large before it is sent: <input type="file" data-max-bytes="5242880">.
document.addEventListener("change", (event) => {
  const { files, dataset } = event.target;
  if (!dataset.maxBytes) return;
  const tooLarge = files.length > 0 && files[0].size > Number(dataset.maxBytes);
  event.target.setCustomValidity(tooLarge ? "Picture should be less than 5MB" : "");
  if (tooLarge) event.target.reportValidity();
});

// htmx replaces an element (the follow form, the stack page) by the same element of the response. If the response lacks
// it, for example because the session has ended, the browser continues as without JavaScript.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { serverResponse, requestConfig } = event.detail;
  const { elt } = requestConfig;
  if (serverResponse.includes(`id="${elt.id || "follow_form"}"`)) return;
  event.preventDefault();
  if (elt instanceof HTMLFormElement) elt.submit();
  else window.location.reload();
});
document.addEventListener("htmx:sendError", (event) => {
  const { elt } = event.detail.requestConfig;
  // The stack page polls by itself.
  if (elt instanceof HTMLFormElement) elt.submit();
});

// The Account menu closes on Escape and on a click outside it.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.dropdown[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("details.dropdown[open]");
  if (event.key !== "Escape" || !menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
