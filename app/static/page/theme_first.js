// The theme that was chosen, before anything is painted. The only script that the browser waits for.
try {
  const chosen = localStorage.getItem("tokentail.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is refused here; the system's theme holds.
}
