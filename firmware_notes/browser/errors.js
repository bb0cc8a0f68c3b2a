/** What users can do something about; its message is shown as it is. */
export class UserError extends Error {}
