/*
 * Runs a program again and again and reports each run as one operation (report.h).
 *
 *   repeat NAME PER_SECOND WORD,WORD,... PROGRAM ARGUMENT...
 *
 * At most PER_SECOND runs; a % in an argument stands for one of the words, the next one with each run.
 */
#include "report.h"
#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>

enum { WORDS_MAX = 32, ARGUMENTS_MAX = 32, ARGUMENT_BYTES = 256 };
extern char **environ;

static void substitute(char *to, const char *from, const char *word) {
    const char *percent = strchr(from, '%');
    if (percent) snprintf(to, ARGUMENT_BYTES, "%.*s%s%s", (int)(percent - from), from, word, percent + 1);
    else snprintf(to, ARGUMENT_BYTES, "%s", from);
}

static int run(char **arguments) {
    pid_t pid;
    int status;
    int error = posix_spawn(&pid, arguments[0], NULL, NULL, arguments, environ);
    if (error) report_failure(strerror(error));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) report_failure(strerror(errno));
    return status;
}

int main(int count, char **given) {
    static char text[ARGUMENTS_MAX][ARGUMENT_BYTES];
    char *arguments[ARGUMENTS_MAX + 1] = {0}, *words[WORDS_MAX];
    size_t word_count = 0;
    if (count < 5 || count - 4 > ARGUMENTS_MAX) return 2;
    report.name = given[1];
    uint64_t per_second = strtoull(given[2], NULL, 10);
    for (char *word = strtok(given[3], ","); word && word_count < WORDS_MAX; word = strtok(NULL, ","))
        words[word_count++] = word;
    if (per_second == 0 || word_count == 0) return 2;
    for (uint64_t runs = 0;; runs++) {
        for (int i = 4; i < count; i++) {
            substitute(text[i - 4], given[i], words[runs % word_count]);
            arguments[i - 4] = text[i - 4];
        }
        uint64_t began = report_pace(per_second);
        int status = run(arguments);
        if (status != 0) {
            char reason[64];
            snprintf(reason, sizeof reason, "run with %s ended with status %d", words[runs % word_count], status);
            report_failure(reason);
        }
        report_operation(began);
    }
}
