// The page of the API: Swagger UI follows the theme of the other pages.

import { shownTheme, toggleTheme } from "./theme.js";

const root = document.documentElement;
const follow = () => root.classList.toggle("dark-mode", shownTheme() === "dark");

document.getElementById("theme").addEventListener("click", toggleTheme);
root.addEventListener("themechange", follow);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
follow();
