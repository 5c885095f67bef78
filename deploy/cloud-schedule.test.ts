/** Which schedules Cloud Scheduler takes. The sentences were compared with the parser that gcloud brings for App Engine's. */
import assert from "node:assert/strict";
import { scheduleProblem } from "./cloud-schedule.js";

const ACCEPTED = [
  ...[
    "* * * * *",
    "*/5 * * * *",
    "0 9 * * 1",
    "0 9 * * MON-FRI",
    "0 0 1 JAN,JUL *",
    "1-5,10 0-23/2 * * 7",
    "0 0 31 4 1",
  ],
  ...["every 1 minutes", "every 5 minutes", "every 5 mins", "every 2 hours", "every 24 hours", "every  5   minutes"],
  ...["every 5 minutes synchronized", "every 5 minutes from 10:00 to 14:00", "every day 09:00", "every day 9:00"],
  ...["every monday 18:30", "every mon,fri 18:30", "every mon, fri 18:30", "every day of jan,feb 10:00"],
  ...["1st monday 04:05", "1st,third monday of month 04:05", "2nd,third mon,wed,thu of march 17:00"],
  ...["1 of month 00:00", "1 of jan,april,july,oct 00:00", "1,15 of month 09:00", "every monday of quarter 10:00"],
];

const REFUSED = [
  ...["", "abc", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8"],
  ...[
    "@hourly",
    "0 0 L * *",
    "0 0 ? * *",
    "5/10 * * * *",
    "*/0 * * * *",
    "*/90 * * * *",
    "5-1 * * * *",
    "1,,2 * * * *",
  ],
  ...[
    "0 0 30 2 *",
    "every 1 minute",
    "every 1 hour",
    "every minute",
    "every 0 minutes",
    "every 5 min",
    "every 5 seconds",
  ],
  ...["every 1.5 hours", "every 5", "EVERY 5 MINUTES", "every Monday 18:30", "every weekday 09:00", "every day"],
  ...["every day 24:00", "every day 09:0", "every mon fri 18:30", "every 7 hours synchronized", "31 of feb 10:00"],
  ...["32 of month 10:00", "last friday of month 10:00", "1st of month 00:00", "every january 10:00"],
];

describe("a schedule for Cloud Scheduler", () => {
  for (const schedule of ACCEPTED) {
    it(`may be ${JSON.stringify(schedule)}`, () => assert.equal(scheduleProblem(schedule), undefined));
  }

  for (const schedule of REFUSED) {
    it(`must not be ${JSON.stringify(schedule)}`, () => assert.equal(typeof scheduleProblem(schedule), "string"));
  }
});
