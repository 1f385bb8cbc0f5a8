// The tests whose names match NAMES, a regular expression; their report goes into REPORT.
export default {
  test: {
    include: ["conformance.test.mjs"],
    testNamePattern: new RegExp(process.env.NAMES),
    reporters: ["json"],
    outputFile: process.env.REPORT,
    testTimeout: 60000,
  },
}
