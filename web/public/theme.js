// Runs before the first paint, so that the page never flashes in another theme. See src/app/theme.ts.
try {
  var theme = localStorage.getItem('roundtable.theme');
  if (theme === 'light' || theme === 'dark' || theme === 'contrast') document.documentElement.dataset.theme = theme;
} catch (refused) {
  // Without storage the system decides.
}
