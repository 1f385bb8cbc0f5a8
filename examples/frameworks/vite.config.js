import { defineConfig } from "vite";

const pages = ["index", "chat", "hook", "element"].map((name) => `${name}.html`);

export default defineConfig({ build: { rollupOptions: { input: pages } } });
