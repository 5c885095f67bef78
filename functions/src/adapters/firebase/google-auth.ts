/** Google's credentials in a module of our own: esbuild gives what imports a CommonJS package at its first use only a default export. */
export { GoogleAuth } from "google-auth-library";
