export const OLDEST_NODE: number;
export function pathWithNode(version?: string, path?: string): string;
export function installNode(): string;
