// What the two JavaScript programs share: the cell's words from the
// environment, and one line of JSON an operation on standard output:
//
//   {"operation", "ok", "text", "stop", "input", "output", "events", "error"}
//
// where error is {"name", "message", "status"} and text is what had arrived by
// then.

export const model = process.env.GATEHOUSE_TEST_MODEL;
export const prompt = process.env.GATEHOUSE_TEST_PROMPT;

// run calls each operation named on the command line, in order.
export async function run(operations, describe) {
  for (const operation of process.argv.slice(2)) {
    const out = { operation, ok: true, text: "", stop: "", input: 0, output: 0, events: 0 };
    try {
      await operations[operation](out);
    } catch (e) {
      out.ok = false;
      out.error = describe(e);
    }
    console.log(JSON.stringify(out));
  }
}
