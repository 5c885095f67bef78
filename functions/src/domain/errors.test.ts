import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import {
  AlreadyLinkedError,
  BusError,
  CallRejectedError,
  ConflictError,
  callError,
  isNotFound,
  isRetryable,
  NoSlotError,
  StoreError,
  toErrorInfo,
  ValidationError,
} from "./errors.js";

const REFUSALS = [
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "PERMISSION_DENIED",
  "UNAUTHENTICATED",
  "FAILED_PRECONDITION",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
];
const CODES = [...Object.keys(status).filter((name) => Number.isNaN(Number(name))), "BAD_REPLY", "99", ""];

describe("a call that failed", () => {
  for (const code of CODES) {
    const refused = REFUSALS.includes(code);
    it(`${code || "no code"} ${refused ? "was certainly not applied, and is not retried" : "may have been applied, and is retried"}`, () => {
      const error = callError(code, "", true);
      assert.equal(error instanceof CallRejectedError, refused);
      assert.equal(isRetryable(error), !refused);
    });
  }
});

describe("a name that the food service does not know", () => {
  for (const [code, isUnknown] of [
    ["NOT_FOUND", true],
    ["INVALID_ARGUMENT", true],
    ["OUT_OF_RANGE", true],
    ["BAD_REPLY", true],
    ["UNAVAILABLE", false],
    ["PERMISSION_DENIED", false],
    ["FAILED_PRECONDITION", false],
  ] as const) {
    it(`is ${isUnknown ? "" : "not "}what ${code} means`, () => {
      assert.equal(isNotFound(callError(code, "", true)), isUnknown);
    });
  }

  it("is not what an error of another kind means", () => {
    for (const error of [new StoreError("NOT_FOUND"), { code: "NOT_FOUND" }, undefined]) assert.ok(!isNotFound(error));
  });
});

describe("failures", () => {
  it("are retried if the store or the bus failed, or a commit conflicted", () => {
    for (const error of [new StoreError("x"), new BusError("x"), new ConflictError("x")]) assert.ok(isRetryable(error));
  });

  it("are not retried if another try would fail in the same way", () => {
    const hopeless = [
      new ValidationError("x"),
      new AlreadyLinkedError("relations/x", "x"),
      new TypeError("x"),
      "x",
      undefined,
    ];
    for (const error of hopeless) assert.ok(!isRetryable(error), String(error));
  });

  it("have their cause and their name", () => {
    const cause = new Error("below");
    const error = new StoreError("above", { cause });
    assert.equal(error.cause, cause);
    assert.deepEqual(toErrorInfo(error), { code: "StoreError", message: "above" });
    for (const code of ["UNAVAILABLE", "NOT_FOUND"]) assert.equal(callError(code, "no", true, { cause }).cause, cause);
    assert.deepEqual(toErrorInfo(callError("ABORTED", "no", true)), { code: "ABORTED", message: "no" });
    const { code, sent } = new NoSlotError("GetOrder");
    assert.deepEqual([code, sent], ["NO_SLOT", false]);
    assert.deepEqual(toErrorInfo("thrown text"), { code: "UNKNOWN", message: "thrown text" });
  });
});
