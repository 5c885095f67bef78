/** The user chain in Go as a peer: built from Debian's packages, with the stubs of the same proto. */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../../harness/root.js";
import { BenchError } from "../measure.js";

const run = promisify(execFile);

/** Where Debian's packages put the sources of Go's libraries. */
const LIBRARIES = "/usr/share/gocode";

const PACKAGES = "golang-go golang-google-grpc-dev protobuf-compiler protoc-gen-go-1-3";

/** The package of the stubs, as main.go imports it. */
const STUBS = "example.com/user";

/**
 * Builds one program that can be each server of the chain, and returns its path.
 * @throws BenchError that says what to install
 */
export async function buildGoChain(directory: string): Promise<string> {
  const folder = join(directory, "go");
  const [program, stubs] = [join(folder, "users"), join(folder, "src", STUBS)];
  mkdirSync(stubs, { recursive: true });
  cpSync(join(ROOT, "bench", "peers", "go", "main.go"), join(folder, "main.go"));
  const options = `plugins=grpc,paths=source_relative,Muser.proto=${STUBS}`;
  try {
    await run("protoc", [`--proto_path=${join(ROOT, "proto", "user")}`, `--go_out=${options}:${stubs}`, "user.proto"]);
    await run("go", ["build", "-o", program, "main.go"], {
      cwd: folder,
      env: { ...process.env, GO111MODULE: "off", GOPATH: `${folder}:${LIBRARIES}`, GOFLAGS: "-p=2" },
    });
  } catch (cause) {
    const { message } = cause as Error;
    throw new BenchError(
      `The user chain in Go needs "apt-get install -y ${PACKAGES}", or leave the peers out with --no-peers: ${message}`,
    );
  }
  return program;
}
