/* media.c - see media.h.  Source: threats.md L-04 */
#include "translate/media.h"

/* "utf-8", with or without quotes. */
static bool is_utf8(struct str charset)
{
    if (charset.n >= 2 && charset.p[0] == '"' &&
        charset.p[charset.n - 1] == '"')
        charset = str_from(charset.p + 1, charset.n - 2);
    return str_ieq(charset, STR("utf-8"));
}

bool media_is(struct str value, struct str type)
{
    struct str rest = value;

    if (!value.p || !str_ieq(str_trim(str_cut(&rest, ';')), type))
        return false;
    while (rest.p) {
        struct str text = str_cut(&rest, ';');
        struct str name = str_trim(str_cut(&text, '='));

        if (str_ieq(name, STR("charset")) &&
            (!text.p || !is_utf8(str_trim(text))))
            return false;
    }
    return true;
}

bool media_is_identity(const struct fields *fields)
{
    struct str name = STR("Content-Encoding");
    struct str value = fields_get(fields, name);

    return !value.p || (fields_count(fields, name) == 1 &&
                        str_ieq(str_trim(value), STR("identity")));
}
