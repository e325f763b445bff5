// What a browser without JavaScript does as well, only less comfortably.
"use strict";

// Deleting asks first: <form data-confirm="Delete this post?">.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// A picture that is too large is not sent at all: <input type="file" data-max-bytes="5242880">.
document.addEventListener("change", (event) => {
  const { files, dataset } = event.target;
  if (!dataset.maxBytes) return;
  const tooLarge = files.length > 0 && files[0].size > Number(dataset.maxBytes);
  event.target.setCustomValidity(tooLarge ? "Picture should be less than 5MB" : "");
  if (tooLarge) event.target.reportValidity();
});

// Following in place: when that does not work (the session ended, say), the form is sent as without JavaScript.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { serverResponse, requestConfig } = event.detail;
  if (serverResponse.includes('id="follow_form"')) return;
  event.preventDefault();
  requestConfig.elt.submit();
});
document.addEventListener("htmx:sendError", (event) => event.detail.requestConfig.elt.submit());

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
