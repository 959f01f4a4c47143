import type { RuleText } from '../rule.ts'

/** What cannot be read is told, never passed over. */
export const formRules = {
  unreadable: {
    id: 'unreadable_configuration',
    severity: 'opens',
    setting: 'configuration',
    why: 'what cannot be read may say anything.',
    fix: "give Envoy's bootstrap in its own spelling (snake_case), or the whole of /config_dump.",
  },
  unknownSetting: {
    id: 'unknown_setting',
    severity: 'weakens',
    setting: 'any field',
    why: 'it is not known what this field does, so it may take something from the decision.',
    fix: 'remove it, write it in snake_case, or use a Sluice that knows this Envoy.',
  },
} as const satisfies Readonly<Record<string, RuleText>>
