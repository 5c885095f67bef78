/** Stands in for re2js in the bundle: Firestore's SDK has it for pipelines, which the board does not use, and it is large. */
export const RE2JS = {
  matches(): never {
    throw new Error("the board's bundle has no pipelines");
  },
};
