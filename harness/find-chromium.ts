/** Finds a Chromium on this machine: where systems put it, or where Playwright keeps its own. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { StartError } from "../services/start-error.js";

/** What a Chromium is called on the PATH of Linux and WSL. */
const PROGRAMS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/** Folders that a PATH may leave out. */
const FOLDERS = ["/usr/bin", "/usr/local/bin", "/snap/bin", "/opt/google/chrome"];

/** What a Chromium is called among the applications of macOS. */
const APPLICATIONS = ["Chromium", "Google Chrome"];

export interface ChromiumPlaces {
  env: NodeJS.ProcessEnv;
  /** The person's home folder. */
  home: string;
  /** The folders of programs that are looked at beside the PATH. */
  folders?: string[];
  /** The folder of applications on macOS. */
  applications?: string;
  /** Where Playwright's own is, or would be. */
  playwright: string;
}

/**
 * The path of a Chromium; undefined if there is none.
 * @throws StartError if the variable CHROMIUM names a file that does not exist
 */
export function findChromium(places: ChromiumPlaces): string | undefined {
  const { env, home, folders = FOLDERS, applications = "/Applications", playwright } = places;
  if (env.CHROMIUM) {
    if (existsSync(env.CHROMIUM)) return env.CHROMIUM;
    throw new StartError(`CHROMIUM names ${env.CHROMIUM}, which does not exist.`);
  }
  const onPath = [...(env.PATH ?? "").split(delimiter).filter(Boolean), ...folders];
  const candidates = [
    ...onPath.flatMap((folder) => PROGRAMS.map((program) => join(folder, program))),
    ...[applications, join(home, "Applications")].flatMap((folder) =>
      APPLICATIONS.map((name) => join(folder, `${name}.app`, "Contents", "MacOS", name)),
    ),
    playwright,
  ];
  return candidates.find((path) => path !== "" && existsSync(path));
}
