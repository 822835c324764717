export { registerMigrations } from "./register.ts";
