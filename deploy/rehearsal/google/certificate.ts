/** Certificates for servers that stand for hosts on the internet. */
import { generate } from "selfsigned";

/** Both in PEM form. */
export interface Pair {
  certificate: string;
  key: string;
}

/** A certificate for these names, which is also its own authority. */
export async function makeCertificate(title: string, names: string[]): Promise<Pair> {
  const made = await generate([{ name: "commonName", value: title }], {
    keyType: "rsa",
    keySize: 2048,
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", digitalSignature: true, keyCertSign: true, keyEncipherment: true, critical: true },
      { name: "extKeyUsage", serverAuth: true },
      { name: "subjectAltName", altNames: names.map((value) => ({ type: 2 as const, value })) },
    ],
  });
  return { certificate: made.cert, key: made.private };
}
