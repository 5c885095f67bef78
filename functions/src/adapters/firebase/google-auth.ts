/** Re-exports Google's credentials: with esbuild, a dynamic import of a CommonJS package has only a default export. */
export { GoogleAuth } from "google-auth-library";
