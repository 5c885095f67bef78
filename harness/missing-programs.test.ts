import assert from "node:assert/strict";
import { installCommand, MissingError } from "./missing-programs.js";

describe("a program that the tests need", () => {
  const root = process.getuid?.() === 0 ? "" : "sudo ";

  for (const [program, command] of [
    ["apt-get", `${root}apt-get install -y openjdk-21-jre-headless chromium`],
    ["dnf", `${root}dnf install -y java-21-openjdk-headless chromium`],
    ["brew", "brew install openjdk@21 chromium"],
  ]) {
    it(`is installed with one command of ${program}`, () => {
      assert.equal(
        installCommand(["java", "chromium"], (name) => name === program),
        command,
      );
    });
  }

  it("has no install command on a machine with an unknown package manager", () => {
    assert.equal(
      installCommand(["java"], () => false),
      undefined,
    );
  });

  it("is named in one sentence if it is missing", () => {
    const { message } = new MissingError(["java", "chromium"]);
    assert.match(message, /^The tests need Java 21 or newer \(https:\/\/adoptium\.net\) and Chromium: [^\n]*\.$/);
  });
});
