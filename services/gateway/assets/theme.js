// Runs before the first paint, so that the page never flashes in the other colours. Not a module for that reason.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem('finflow-theme');
  } catch {
    // No storage (private window, blocked): the system's preference decides.
  }
  if (chosen !== 'light' && chosen !== 'dark') {
    chosen = matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
  }
  document.documentElement.dataset.theme = chosen;
})();
