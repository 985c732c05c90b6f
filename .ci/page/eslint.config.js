// The scripts of a page share one scope, so that only TypeScript can tell which names are undefined or unused.
import js from "@eslint/js";

export default [
  {
    files: ["jaxevo/reports/page/assets/*.js"],
    languageOptions: { ecmaVersion: 2023, sourceType: "script" },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      ...js.configs.recommended.rules,
      "no-undef": "off",
      "no-unused-vars": ["error", { vars: "local" }],
      "no-var": "error",
      "prefer-const": "error",
      eqeqeq: "error",
      "max-len": ["error", { code: 120 }],
      "no-implied-eval": "error",
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML", "write"].map((property) => ({
          property,
          message: "Text must stay text: use textContent or append.",
        })),
      ],
    },
  },
];
