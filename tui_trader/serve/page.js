// The terminal itself is textual.js. This gives it the keys, and tells what is left to tell once it has closed.
"use strict";

const words = document.getElementById("words");
const again = document.getElementById("again");

again.addEventListener("click", () => window.location.reload());

function takeKeys() {
  document.querySelector("#terminal textarea")?.focus();
}

window.addEventListener("focus", takeKeys);

new MutationObserver(async (_, observer) => {
  if (!document.body.classList.contains("-closed")) {
    takeKeys();
    return;
  }
  observer.disconnect();
  again.focus();
  try {
    const answer = await fetch(words.dataset.from);
    if (answer.ok) words.textContent = await answer.text();
  } catch {
    words.textContent = "tui-trader serve no longer answers.";
  }
}).observe(document.body, { attributes: true, attributeFilter: ["class"] });
