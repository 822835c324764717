/*
 * Transactions in the manner of TPC-B on SQLite: each adds an amount to one account, its teller and its branch, reads
 * the new balance and writes one row of history, and is committed by itself. A branch, 10 tellers and 20 000 accounts,
 * whose rows are longer than TPC-B's instead of being more: filling takes a guest under TCG long enough. The history is a ring, so that the database stops growing. Now and then the sums of branch and
 * tellers are compared: a database that was damaged is found by its own arithmetic.
 *
 *   tpcb DATABASE TRANSACTIONS_PER_SECOND
 */
#include "report.h"
#include <sqlite3.h>

enum { ACCOUNTS = 20000, TELLERS = 10, HISTORY = 20000, COMPARE_EVERY = 500 };

static sqlite3 *db;

static void check(int code, int wanted) {
    if (code != wanted) report_failure(sqlite3_errmsg(db));
}

static void execute(const char *sql) { check(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK); }

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement;
    check(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    return statement;
}

/* Runs a statement with up to three whole numbers; returns its first column, or 0 when it gives no row. */
static int64_t run(sqlite3_stmt *statement, int64_t a, int64_t b, int64_t c) {
    const int64_t values[] = {a, b, c};
    for (int i = 0; i < sqlite3_bind_parameter_count(statement); i++)
        check(sqlite3_bind_int64(statement, i + 1, values[i]), SQLITE_OK);
    int code = sqlite3_step(statement);
    int64_t result = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    if (code != SQLITE_ROW) check(code, SQLITE_DONE);
    check(sqlite3_reset(statement), SQLITE_OK);
    return result;
}

static void fill(void) {
    execute("BEGIN;"
            "CREATE TABLE branches(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, filler TEXT);"
            "CREATE TABLE tellers(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, filler TEXT);"
            "CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, filler TEXT);"
            "CREATE TABLE history(id INTEGER PRIMARY KEY, account INTEGER, amount INTEGER, filler TEXT);"
            "INSERT INTO branches VALUES(0, 0, printf('%84s', 'branch'));");
    sqlite3_stmt *teller = prepare("INSERT INTO tellers VALUES(?, 0, printf('%84s', 'teller'))");
    sqlite3_stmt *account = prepare("INSERT INTO accounts VALUES(?, 0, printf('%-200d', ?) || hex(randomblob(100)))");
    for (int64_t i = 0; i < TELLERS; i++) run(teller, i, 0, 0);
    for (int64_t i = 0; i < ACCOUNTS; i++) run(account, i, i, 0);
    sqlite3_finalize(teller);
    sqlite3_finalize(account);
    execute("COMMIT;");
}

static uint64_t next_random(void) {
    static uint64_t state = 0x2545f4914f6cdd1dull;
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

int main(int count, char **given) {
    if (count != 3) return 2;
    report.name = "sqlite";
    uint64_t per_second = strtoull(given[2], NULL, 10);
    check(sqlite3_open(given[1], &db), SQLITE_OK);
    execute("PRAGMA journal_mode = WAL; PRAGMA cache_size = -4096;");
    fill();
    sqlite3_stmt *begin = prepare("BEGIN IMMEDIATE"), *commit = prepare("COMMIT"),
                 *account = prepare("UPDATE accounts SET balance = balance + ? WHERE id = ?"),
                 *balance = prepare("SELECT balance FROM accounts WHERE id = ?"),
                 *teller = prepare("UPDATE tellers SET balance = balance + ? WHERE id = ?"),
                 *branch = prepare("UPDATE branches SET balance = balance + ?"),
                 *history = prepare("INSERT OR REPLACE INTO history VALUES(?, ?, ?, printf('%22s', ''))"),
                 *difference = prepare("SELECT (SELECT sum(balance) FROM branches) - (SELECT sum(balance) FROM tellers)");
    for (int64_t done = 0;; done++) {
        uint64_t r = next_random();
        int64_t amount = (int64_t)(r % 10000) - 5000, to = (int64_t)((r >> 16) % ACCOUNTS);
        uint64_t began = report_pace(per_second);
        run(begin, 0, 0, 0);
        run(account, amount, to, 0);
        run(balance, to, 0, 0);
        run(teller, amount, to % TELLERS, 0);
        run(branch, amount, 0, 0);
        run(history, done % HISTORY, to, amount);
        run(commit, 0, 0, 0);
        report_operation(began);
        if (done % COMPARE_EVERY == 0 && run(difference, 0, 0, 0) != 0)
            report_failure("the sums of branch and tellers differ");
    }
}
