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
  if (!dataset.maxBytes || !files || !files[0]) return;
  const tooLarge = files[0].size > Number(dataset.maxBytes);
  event.target.setCustomValidity(tooLarge ? "Picture should be less than 5MB" : "");
  if (tooLarge) event.target.reportValidity();
});

// Following in place: when the answer is another page (the session ended, say), go there instead.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.serverResponse.includes('id="follow_form"')) return;
  event.preventDefault();
  window.location.assign(event.detail.xhr.responseURL);
});

// The Account menu closes when something else is clicked.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.dropdown[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
