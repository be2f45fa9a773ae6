/** Helpers of programs that stand alone: they say what they see. */
import { ERRNO, SIGNAL, SIGNAL_BASE } from "../../model/uapi/errno.ts";
import { C, type Helper } from "./helpers.ts";

const errnoNames: Helper = {
  defines: ["result_name"],
  text: C`/* "-1 EINVAL" for -EINVAL, as strace has it. */
static const char *result_name(long ret)
{
	static char text[4][32];
	static int turn;
	char *name = text[turn++ % 4];

	switch (-ret) {
${Object.keys(ERRNO)
  .map((name) => `\tcase ${name}: return "-1 ${name}";`)
  .join("\n")}
${Object.keys(SIGNAL)
  .map((name) => `\tcase ${SIGNAL_BASE} + ${name}: return "${name}";`)
  .join("\n")}
	}
	snprintf(name, sizeof(text[0]), ret < 0 ? "-1 errno %ld" : "%ld", ret < 0 ? -ret : ret);
	return name;
}
`,
};
/** For programs that stand alone: they say what they see. */
export const TELLING: readonly Helper[] = [
  errnoNames,
  {
    defines: ["differences"],
    text: C`static int differences;
`,
  },
  {
    defines: ["differs"],
    text: C`static void differs(bool wrong)
{
	differences += wrong;
	printf("%s\n", wrong ? "   <-- DIFFERS" : "");
}
`,
  },
  {
    defines: ["call"],
    text: C`/* Says which call comes now, so that one that never comes back is seen too. */
static void call(int number, const char *what)
{
	printf("%3d  %s\n", number, what);
	fflush(stdout);
}
`,
  },
  {
    defines: ["expect_result"],
    text: C`static void expect_result(long ret, long expected)
{
	printf("     expected %s, observed %s", result_name(expected), result_name(ret));
	differs(ret != expected);
}
`,
  },
  {
    defines: ["expect_success"],
    text: C`/* The kernel may choose the number. */
static void expect_success(long ret)
{
	printf("     expected success, observed %s", result_name(ret));
	differs(ret < 0);
}
`,
  },
  {
    defines: ["expect_injected"],
    text: C`/* What is right from here on counts on it. */
static void expect_injected(void)
{
	if (injected)
		return;
	fprintf(stderr, "\nNo allocation failed: this kernel makes fewer of them here.\n");
	_exit(3);
}
`,
  },
  {
    defines: ["expect_anything"],
    text: C`static void expect_anything(long ret)
{
	printf("     observed %s\n", result_name(ret));
}
`,
  },
  {
    defines: ["expect_data"],
    text: C`/* Compares what was read. */
static void expect_data(unsigned long at, const void *expected, size_t length)
{
	const unsigned char *o = (const void *)at, *e = expected;

	printf("     data is [");
	for (size_t i = 0; i < length; i++)
		if (o[i] == e[i])
			printf("%s%02x", i ? " " : "", o[i]);
		else
			printf("%s%02x (not %02x)", i ? " " : "", o[i], e[i]);
	printf("]");
	differs(memcmp(o, e, length) != 0);
}
`,
  },
  {
    defines: ["expect_text"],
    text: C`static void expect_text(const char *expected)
{
	printf("     expected \"%s\", observed \"%s\"", expected, seen);
	differs(strcmp(seen, expected) != 0);
}
`,
  },
  {
    defines: ["struct field", "expect_struct"],
    text: C`struct field {
	const char *name;
	size_t offset, width;
};

static unsigned long long number_at(const void *from, const struct field *f)
{
	unsigned long long value = 0;

	memcpy(&value, (const char *)from + f->offset, f->width);
	return value;
}

/* Compares the first bytes of a struct and says which fields differ. */
static void expect_struct(const struct field *fields, const void *observed, const void *expected, size_t length)
{
	const unsigned char *o = observed, *e = expected;
	size_t done = 0;

	printf("     struct is {");
	for (const struct field *f = fields; f->name && f->offset + f->width <= length; f++) {
		printf("%s%s=0x%llx", f == fields ? "" : ", ", f->name, number_at(observed, f));
		if (number_at(observed, f) != number_at(expected, f))
			printf(" (not 0x%llx)", number_at(expected, f));
		done = f->offset + f->width;
	}
	for (; done < length; done++)
		if (o[done] != e[done])
			printf(", byte %zu=0x%02x (not 0x%02x)", done, o[done], e[done]);
	printf("}");
	differs(memcmp(observed, expected, length) != 0);
}
`,
  },
];
