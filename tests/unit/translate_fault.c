/* translate_fault.c - tests of the sandbox server's error texts. */
#include "translate/fault.h"

#include <criterion/criterion.h>

#define GUEST "rpc error: code = "
#define HINT "; check the path exists inside the sandbox"

/* Texts as the real server sent them. */
static const struct {
    const char *name;
    const char *code;
    const char *message;
    enum err want;
} rows[] = {
    {"unknown sandbox", "internal",
     "stat \"/\": guest Stat: " GUEST
     "Unavailable desc = connection error: desc = \"transport: Error while "
     "dialing: sandbox nosuch has no stream path\"" HINT,
     E_SANDBOX_GONE},
    {"slots", "unavailable",
     "guest exec open failed: sandbox \"sb1\" is at its concurrent exec-stream "
     "limit; close an existing stream before opening another",
     E_SLOTS},
    {"slots in an exit frame", "",
     "exec backend unavailable: sandbox \"sb1\" is at its concurrent "
     "exec-stream limit; close an existing stream before opening another",
     E_SLOTS},
    {"missing file", "internal",
     "stat \"/x\": guest Stat: " GUEST
     "NotFound desc = stat: No such file or directory (os error 2)" HINT,
     E_NOT_FOUND},
    {"below a file", "internal",
     "stat \"/tmp/f/a.txt/x\": guest Stat: " GUEST
     "Internal desc = stat: Not a directory (os error 20)" HINT,
     E_INVALID},
    {"directory", "internal",
     "read file \"/tmp/f\": recv read_file chunk: " GUEST
     "Internal desc = read_file: read: Is a directory (os error 21)" HINT,
     E_INVALID},
    {"disk full", "internal",
     "write file \"/a\": close write_file stream: " GUEST
     "Internal desc = write_file: write: No space left on device (os error "
     "28)" HINT,
     E_NO_SPACE},
    {"exists", "internal",
     "write file \"/a/b\": close write_file stream: " GUEST
     "Internal desc = write_file: create parent dirs: File exists (os error "
     "17)" HINT,
     E_ALREADY_EXISTS},
    {"busy", "internal",
     "remove \"/m\": guest Remove: " GUEST
     "Internal desc = remove: Device or resource busy (os error 16)" HINT,
     E_PRECONDITION},
    {"read-only", "internal",
     "write file \"/ro/x\": close write_file stream: " GUEST
     "Internal desc = write_file: open: Read-only file system (os error "
     "30)" HINT,
     E_PERMISSION},
    {"EPERM", "internal",
     "remove \"/proc/1/status\": guest Remove: " GUEST
     "PermissionDenied desc = remove: Operation not permitted (os error "
     "1)" HINT,
     E_PERMISSION},
    {"NUL", "internal",
     "stat \"/a\\x00b\": guest Stat: " GUEST
     "Internal desc = stat: file name contained an unexpected NUL byte" HINT,
     E_INVALID},
    {"frame over 4 MiB", "internal",
     "write file \"/b\": close write_file stream: " GUEST
     "Aborted desc = write_file: recv: status: OutOfRange, message: \"Error, "
     "decoded message length too large: found 4194309 bytes\"" HINT,
     E_TOO_BIG},
    {"list over 4 MiB", "internal",
     "list \"/b\": guest List: " GUEST
     "ResourceExhausted desc = grpc: received message larger than max" HINT,
     E_EXHAUSTED},
    {"no such pid", "internal",
     "deliver signal 15 to pid 99999: guest Signal: " GUEST
     "NotFound desc = signal: no such process 99999; check that the process "
     "is running inside the sandbox",
     E_NOT_FOUND},
    {"agent down", "internal",
     "read process list: guest Processes: " GUEST
     "Unavailable desc = error reading from server: EOF",
     E_BACKEND_DOWN},
    {"late", "internal",
     "read process list: guest Processes: " GUEST
     "DeadlineExceeded desc = context deadline exceeded while waiting",
     E_DEADLINE},
    {"canceled", "internal", "x: " GUEST "Canceled desc = context canceled",
     E_CANCELED},
    {"spawn", "",
     "exec stream read error: guest exec failed: start: No such file or "
     "directory (os error 2); check",
     E_NOT_FOUND},
    {"spawn, too long", "",
     "exec stream read error: guest exec failed: start: Argument list too long "
     "(os error 7)",
     E_INVALID},
    {"ceiling", "invalid_argument",
     "requested timeout 86401s exceeds the ceiling of 86400s; request",
     E_INVALID},
    {"a name that lies", "internal",
     "stat \"/code = Canceled has no stream path (os error 13)\": guest Stat: "
     "" GUEST "NotFound desc = stat: No such file or directory (os error "
     "2)" HINT,
     E_NOT_FOUND},
    {"only a code", "unimplemented", "whatever", E_UNIMPLEMENTED},
    {"nothing known", "internal", "boom", E_INTERNAL},
    {"nothing at all", NULL, NULL, E_INTERNAL},
};

Test(fault, first_sign_in_the_guests_part_decides)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        enum err got =
            fault_classify(str_of(rows[i].code), str_of(rows[i].message));

        cr_expect_eq(got, rows[i].want, "row \"%s\": %s", rows[i].name,
                     err_name(got));
    }
}

Test(fault, answers_of_both_kinds_are_understood)
{
    static const struct {
        const char *name;
        int status;
        const char *body;
        enum err want;
    } answers[] = {
        {"good", 200, "", E_OK},
        {"connect", 500,
         "{\"code\":\"internal\",\"message\":\"guest Stat: " GUEST
         "NotFound desc = x\"}",
         E_NOT_FOUND},
        {"rest", 404,
         "{\"error\":{\"code\":\"not_found\",\"message\":\"no such "
         "sandbox\"}}",
         E_NOT_FOUND},
        {"page", 502, "<html>Bad gateway</html>", E_BACKEND_GARBAGE},
        {"empty", 500, "", E_BACKEND_GARBAGE},
        {"array", 500, "[]", E_BACKEND_GARBAGE},
        {"code of another type", 500, "{\"code\":5}", E_BACKEND_GARBAGE},
        {"error of another type", 500, "{\"error\":\"x\"}", E_BACKEND_GARBAGE},
    };

    for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
        enum err got =
            fault_of_answer(answers[i].status, str_of(answers[i].body));

        cr_expect_eq(got, answers[i].want, "row \"%s\": %s", answers[i].name,
                     err_name(got));
    }
}

Test(fault, errno_is_the_last_one_named)
{
    cr_expect_eq(fault_errno(STR("x (os error 28)")), 28);
    cr_expect_eq(fault_errno(STR("(os error 2) y (os error 13); z")), 13);
    cr_expect_eq(fault_errno(STR("(os error )")), 0);
    cr_expect_eq(fault_errno(STR("(os error 7")), 0);
    cr_expect_eq(fault_errno(STR("")), 0);
}

Test(fault, every_error_has_a_word_and_a_status)
{
    static const struct {
        enum err err;
        const char *code;
        int status;
    } words[] = {
        {E_NOT_FOUND, "not_found", 404},
        {E_UNAUTHENTICATED, "unauthenticated", 401},
        {E_INVALID, "invalid_argument", 400},
        {E_DEADLINE, "deadline_exceeded", 504},
        {E_CANCELED, "canceled", 499},
        {E_SLOTS, "resource_exhausted", 429},
        {E_PRECONDITION, "failed_precondition", 400},
        {E_ALREADY_EXISTS, "already_exists", 409},
        {E_UNIMPLEMENTED, "unimplemented", 501},
        {E_STORE, "internal", 500},
        {E_SANDBOX_UNKNOWN, "internal", 500},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        cr_expect_str_eq(fault_connect_code(words[i].err), words[i].code);
        cr_expect_eq(fault_connect_status(words[i].err), words[i].status);
    }
    for (int e = 0; e < E_COUNT; e++)
        cr_expect_geq(fault_connect_status((enum err)e), 400);
}
