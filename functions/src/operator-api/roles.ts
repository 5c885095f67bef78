/** The roles: an operator may do everything that a viewer may, and more. firestore.rules names the same roles. */
export const ROLES = ["viewer", "operator"] as const;

export type Role = (typeof ROLES)[number];
