// The page of the API: Swagger UI follows the theme of the other pages.

import { shownTheme, toggleTheme } from "./theme.js";

const root = document.documentElement;
const follow = () => root.classList.toggle("dark-mode", shownTheme() === "dark");

document.getElementById("theme").addEventListener("click", toggleTheme);
root.addEventListener("themechange", follow);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
follow();

// Swagger UI puts a link into each call's button, which unfolds the call by itself: screen readers would meet two controls.
function flatten() {
  for (const link of document.querySelectorAll("#swagger-ui button a[href]")) link.removeAttribute("href");
}

new MutationObserver(flatten).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });
flatten();
