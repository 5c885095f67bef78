import assert from "node:assert/strict";
import { deployOptions, readSettings } from "./config.js";
import { ValidationError } from "./domain/errors.js";

/** What a deployment gives to its functions: every param in the environment, as text. */
const DEPLOYED = {
  FOOD_SERVICE_ADDRESS: "food.example.com:443",
  FOOD_SERVICE_SECURITY: "tls",
  FOOD_SERVICE_CA: "system",
  USERS_ADDRESS: "users.example.com:443",
  USERS_SECURITY: "tls",
  CALL_DEADLINE_SECONDS: "10",
  POLL_PASSES: "2",
  POLL_PAGE_SIZE: "500",
  CREATE_POLICY: "park",
  CREATE_LEASE_SECONDS: "60",
  CREATE_TRIES: "8",
  MISSING_AFTER_MINUTES: "60",
};

describe("the configuration", () => {
  let before: NodeJS.ProcessEnv;
  beforeEach(() => {
    before = { ...process.env };
    delete process.env.FUNCTIONS_EMULATOR;
    Object.assign(process.env, DEPLOYED);
  });
  afterEach(() => {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  });

  it("comes from the params of the deployment", () => {
    const settings = readSettings();
    assert.equal(settings.FOOD_SERVICE_ADDRESS, "food.example.com:443");
    assert.equal(settings.POLL_PASSES, 2);
    assert.equal(settings.CREATE_POLICY, "park");
  });

  for (const name of ["FOOD_SERVICE_SECURITY", "USERS_SECURITY"] as const) {
    for (const [emulator, title] of [
      [undefined, "outside the emulator"],
      ["false", "where FUNCTIONS_EMULATOR is false"],
      ["", "where FUNCTIONS_EMULATOR is empty"],
    ] as const) {
      it(`rejects plaintext for ${name} ${title}`, () => {
        process.env[name] = "plaintext";
        if (emulator !== undefined) process.env.FUNCTIONS_EMULATOR = emulator;
        assert.throws(readSettings, (error: Error) => {
          assert.ok(error instanceof ValidationError);
          assert.match(error.message, new RegExp(`${name} is plaintext: only tls is allowed`));
          return true;
        });
      });
    }

    it(`accepts plaintext for ${name} in the emulator`, () => {
      process.env[name] = "plaintext";
      process.env.FUNCTIONS_EMULATOR = "true";
      assert.equal(readSettings()[name], "plaintext");
    });
  }

  it("uses the defaults of params that the environment lacks, all of which are valid in the emulator", () => {
    for (const name of Object.keys(DEPLOYED)) if (name !== "FOOD_SERVICE_CA") delete process.env[name];
    process.env.FUNCTIONS_EMULATOR = "true";
    const { FOOD_SERVICE_SECURITY, CREATE_POLICY, CREATE_LEASE_SECONDS } = readSettings();
    assert.deepEqual([FOOD_SERVICE_SECURITY, CREATE_POLICY, CREATE_LEASE_SECONDS], ["tls", "park", 60]);
  });

  it("names each param that is empty, and the secret that is missing", () => {
    for (const name of Object.keys(DEPLOYED)) {
      const { [name]: value } = process.env;
      if (name === "FOOD_SERVICE_CA") delete process.env[name];
      else process.env[name] = "";
      assert.throws(readSettings, new RegExp(`Wrong configuration.*\\b${name}\\b`), name);
      process.env[name] = value;
    }
  });

  it("ignores a secret that the params do not require", () => {
    Object.assign(process.env, { FOOD_SERVICE_TOKEN: "two words", FOOD_SERVICE_CLIENT_KEY: "none" });
    assert.equal(readSettings().FOOD_SERVICE_TOKEN, undefined);
    process.env.FOOD_SERVICE_AUTH = "bearer-token";
    assert.throws(readSettings, /FOOD_SERVICE_TOKEN must be a token on one line/);
    delete process.env.FOOD_SERVICE_TOKEN;
    assert.throws(readSettings, /FOOD_SERVICE_TOKEN is missing/);
  });

  it("names VPC params that contradict each other", () => {
    Object.assign(process.env, { VPC_CONNECTOR: "food", VPC_SUBNETWORK: "food" });
    assert.throws(deployOptions, /VPC_CONNECTOR and VPC_NETWORK or VPC_SUBNETWORK are set/);
    Object.assign(process.env, { VPC_CONNECTOR: "none", VPC_EGRESS: "ALL_TRAFFIC" });
    assert.throws(deployOptions, /VPC_EGRESS is "ALL_TRAFFIC": it must be private-ranges-only or all-traffic/);
  });

  it("rejects text as a number", () => {
    for (const text of ["ten", "", "10s", "0x10", "1e1", "1.0", " 2", "+2", "2_0", "٣"]) {
      process.env.POLL_PASSES = text;
      assert.throws(
        readSettings,
        { message: new RegExp(`POLL_PASSES is ${JSON.stringify(text).replace("+", "\\+")}: must be a whole`) },
        text,
      );
    }
    for (const text of ["-1", "1000000000"]) {
      process.env.POLL_PASSES = text;
      assert.throws(readSettings, { message: new RegExp(`POLL_PASSES is ${text}: must be a whole`) }, text);
    }
  });
});
