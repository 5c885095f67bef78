import assert from "node:assert/strict";
import { parseSchedule } from "./schedule.js";

/** A Monday. */
const AFTER = new Date("2026-03-02T10:30:15.000Z");

describe("schedules", () => {
  for (const [text, zone, due] of [
    ["* * * * *", "UTC", "2026-03-02T10:31:00.000Z"],
    ["*/15 * * * *", "UTC", "2026-03-02T10:45:00.000Z"],
    [" 0 9 * * 1 ", "UTC", "2026-03-09T09:00:00.000Z"],
    ["0 9 * * *", "America/New_York", "2026-03-02T14:00:00.000Z"],
    ["every 1 minutes", "UTC", "2026-03-02T10:31:15.000Z"],
    ["every 5 mins", "UTC", "2026-03-02T10:35:15.000Z"],
    ["Every 2 hours", "UTC", "2026-03-02T12:30:15.000Z"],
    ["every day 09:00", "UTC", "2026-03-03T09:00:00.000Z"],
    ["every day 00:05", "Europe/Berlin", "2026-03-02T23:05:00.000Z"],
    ["every monday 09:00", "UTC", "2026-03-09T09:00:00.000Z"],
    ["every tue,friday 18:30", "UTC", "2026-03-03T18:30:00.000Z"],
  ] as const) {
    it(`"${text}" in ${zone} is due at ${due}`, () => {
      assert.equal(parseSchedule(text, zone)(AFTER).toISOString(), due);
    });
  }

  for (const text of [
    "",
    "every",
    "every 0 minutes",
    "every 1 minute",
    "every 5 days",
    "every m 09:00",
    "every day 25:00",
    "every someday 09:00",
    "1st monday of month 09:00",
    "* * * *",
    "* * * * * *",
    "61 * * * *",
  ]) {
    it(`rejects the ambiguous schedule "${text}"`, () => {
      assert.throws(() => parseSchedule(text), {
        name: "RangeError",
        message: new RegExp(`"${text.replaceAll("*", "\\*")}"`),
      });
    });
  }

  it("is never due on a day that does not exist", () => {
    assert.throws(() => parseSchedule("0 0 31 2 *")(AFTER), /never due/);
  });
});
