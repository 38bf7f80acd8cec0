/** What a login looks like; accounts and sub-users alike. auth.md §2. */
export const LOGIN = /^[a-zA-Z][a-zA-Z0-9_.@-]{2,31}$/;

/** A uuid as it is stored and compared: lower case. */
export const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/** Groups an account may be put in. The groups that change what roles do come with roles. auth.md §11. */
export const GROUPS = ['operators'] as const;
