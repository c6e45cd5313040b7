// Applies the kept theme and language to <html> before the first paint, so it is a classic script in the head.

(() => {
  const kept = (name) => {
    try {
      return localStorage.getItem(`wsd.${name}`);
    } catch {
      return null; // storage is refused here
    }
  };
  const root = document.documentElement;
  const theme = kept("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const languages = [kept("language"), ...(navigator.languages ?? [navigator.language])];
  const known = languages.map((name) => (name ?? "").toLowerCase().split("-")[0]);
  root.lang = known.find((name) => name === "en" || name === "zh") === "zh" ? "zh-CN" : "en";
})();
