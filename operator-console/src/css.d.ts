/** A view's style sheet, as minified text: operator-console/build.ts. */
declare module "*.css" {
  const text: string;
  export default text;
}
