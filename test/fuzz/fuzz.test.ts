/** A small budget of the fuzz, and that it finds what is wrong; `npm run fuzz` has the large one. */
import assert from "node:assert/strict";
import { type FuzzOptions, fuzz, KIND_NAMES } from "./fuzz.js";
import { HANDLERS, type Handlers } from "./kind.js";

const reportsOf = ({ failures }: Awaited<ReturnType<typeof fuzz>>) =>
  failures.map(({ kind, report }) => `${kind}: ${report}`);

/** The input of a failure, which is the last line of its report. */
const inputIn = (failure = "") => failure.split("\n").at(-1);

describe("hostile input", function () {
  this.timeout(120_000);

  it("causes no 5xx, crash or stray write in any handler", async () => {
    const findings = await fuzz({ inputs: 2_000, seed: 7 });
    assert.deepEqual(reportsOf(findings), []);
    assert.ok(findings.inputs >= 2_000);
    assert.deepEqual(Object.keys(findings.byKind), KIND_NAMES);
    for (const what of [
      "requests that decided",
      "requests that decided about many",
      "requests answered 400",
      "requests answered 403",
      "wire answered 200",
      "messages that kitchen acted on",
      "messages published",
      "continuations taken",
      "documents that sweep acted on",
      "unreadable documents left alone",
    ]) {
      assert.ok(findings.reached.get(what), `among 2,000 inputs there were no ${what}`);
    }
  });

  let forgotten = 0;
  const MISTAKES: [what: string, only: NonNullable<FuzzOptions["only"]>, handlers: Partial<Handlers>, says: RegExp][] =
    [
      [
        "an API that falls over a name",
        "requests",
        {
          async answer(api, request) {
            const answer = await api.answer(request);
            return request.path.includes("%00") ? { ...answer, status: 500 } : answer;
          },
        },
        /answered 500/,
      ],
      [
        "an API that throws",
        "requests",
        {
          answer(api, request) {
            decodeURIComponent(request.path);
            return api.answer(request);
          },
        },
        /URIError/,
      ],
      [
        "an API that forgets the key",
        "requests",
        {
          answer: (api, request) =>
            api.answer({ ...request, headers: { ...request.headers, "idempotency-key": String(forgotten++) } }),
        },
        /answered otherwise the second time/,
      ],
      [
        "an answer that shows a stack",
        "wire",
        {
          async answer(api, request) {
            const answer = await api.answer(request);
            return answer.status === 400 ? { ...answer, body: "Error: x\n at node_modules/x.js" } : answer;
          },
        },
        /a stack/,
      ],
      [
        "a stage that writes under whatever name it is given",
        "messages",
        {
          async handleOrderMessage(_stage, payload, { store }) {
            const { order } = (payload ?? {}) as { order?: unknown };
            await store.commit([{ kind: "create", path: `relations/${order}`, fields: { state: "PREPARATION" } }]);
          },
        },
        /led to|stray write|Firestore would reject/,
      ],
      [
        "a poll that goes on for anybody",
        "messages",
        {
          continuePoll: (payload, ports) =>
            HANDLERS.continuePoll(
              { holder: "a", step: 0, pageToken: "", statuses: [(payload as { statuses: [never] }).statuses[0]] },
              ports,
            ),
        },
        /TypeError/,
      ],
      [
        "a sweep that mends what it can't read",
        "documents",
        {
          async sweep(ports) {
            const [found] = await ports.store.read("relations/7f3c");
            if (found) {
              const { path, version } = found;
              await ports.store.commit([{ kind: "update", path, version, fields: { state: "GONE", schema: 1 } }]);
            }
            return HANDLERS.sweep(ports);
          },
        },
        /can't be read, and was written/,
      ],
    ];
  for (const [what, only, handlers, says] of MISTAKES) {
    it(`reveals ${what}, and is reproduced by its seed and path`, async () => {
      const broken = { ...HANDLERS, ...handlers };
      const { failures } = await fuzz({ inputs: 1_000, seed: 7, only, handlers: broken });
      const [failure] = failures;
      assert.ok(failure, "nothing was found");
      assert.match(failure.report, says);
      const { seed, path } = failure;
      const again = await fuzz({ inputs: 1, seed, only, path, handlers: broken });
      assert.equal(inputIn(again.failures[0]?.report), inputIn(failure.report));
      assert.deepEqual(
        reportsOf(await fuzz({ inputs: 1, seed, only, path })),
        [],
        "nothing is wrong with what is deployed",
      );
    });
  }
});
