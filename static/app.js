// What a browser without JavaScript does as well, only less comfortably.
"use strict";

// Deleting asks first: <form data-confirm="Delete this post?">. Without JavaScript its button leads to a page that asks;
// submit() sends the form itself, whatever its button says.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.confirm) return;
  event.preventDefault();
  if (window.confirm(form.dataset.confirm)) form.submit();
});

// A picture that is too large is not sent at all: <input type="file" data-max-bytes="5242880">.
document.addEventListener("change", (event) => {
  const { files, dataset } = event.target;
  if (!dataset.maxBytes) return;
  const tooLarge = files.length > 0 && files[0].size > Number(dataset.maxBytes);
  event.target.setCustomValidity(tooLarge ? "Picture should be less than 5MB" : "");
  if (tooLarge) event.target.reportValidity();
});

// What changes in place, a follow or the stack page, is an element that the answer has to hold as well. If it does not
// (the session ended, say), the browser goes on as without JavaScript.
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
  // The stack page asks again by itself.
  if (elt instanceof HTMLFormElement) elt.submit();
});

// The Account menu closes when something else is clicked, and by Escape.
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
