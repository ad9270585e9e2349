%% @doc JSON: maps, lists, binaries, numbers, true, false, null. Names of objects are binaries when read, and atoms or
%% binaries when written.
-module(erlmcp_json).

-export([encode/1, decode/1]).

-define(DEPTH, 64).

encode(true) -> <<"true">>;
encode(false) -> <<"false">>;
encode(null) -> <<"null">>;
encode(A) when is_atom(A) -> encode(atom_to_binary(A));
encode(I) when is_integer(I) -> integer_to_binary(I);
encode(F) when is_float(F) -> float_to_binary(F, [short]);
encode(B) when is_binary(B) -> <<$", (escape(B))/binary, $">>;
encode(L) when is_list(L) -> join($[, [encode(V) || V <- L], $]);
encode(M) when is_map(M) ->
    join(${, [[encode(K), $:, encode(V)] || {K, V} <- lists:sort([{name(K), V} || {K, V} <- maps:to_list(M)])], $}).

name(K) when is_atom(K) -> atom_to_binary(K);
name(K) when is_binary(K) -> K.

join(Open, Parts, Close) ->
    iolist_to_binary([Open, lists:join($,, Parts), Close]).

escape(B) ->
    << <<(escaped(C))/binary>> || <<C/utf8>> <= B >>.

escaped($") -> <<"\\\"">>;
escaped($\\) -> <<"\\\\">>;
escaped($\n) -> <<"\\n">>;
escaped(C) when C < 32; C =:= 127 -> iolist_to_binary(io_lib:format("\\u~4.16.0b", [C]));
escaped(C) -> <<C/utf8>>.

decode(Text) ->
    try value(space(Text), 0) of
        {V, Rest} ->
            case space(Rest) of
                <<>> -> {ok, V};
                _ -> {error, invalid}
            end
    catch
        error:_ -> {error, invalid}
    end.

value(_, Depth) when Depth > ?DEPTH -> error(deep);
value(<<"true", R/binary>>, _) -> {true, R};
value(<<"false", R/binary>>, _) -> {false, R};
value(<<"null", R/binary>>, _) -> {null, R};
value(<<$", R/binary>>, _) -> string(R, <<>>);
value(<<$[, R/binary>>, D) ->
    case space(R) of
        <<$], Rest/binary>> -> {[], Rest};
        More -> elements(More, D + 1, [])
    end;
value(<<${, R/binary>>, D) ->
    case space(R) of
        <<$}, Rest/binary>> -> {#{}, Rest};
        More -> members(More, D + 1, #{})
    end;
value(Text, _) -> number(Text).

elements(Text, D, Acc) ->
    {V, R} = value(Text, D),
    case space(R) of
        <<$,, More/binary>> -> elements(space(More), D, [V | Acc]);
        <<$], Rest/binary>> -> {lists:reverse([V | Acc]), Rest}
    end.

members(<<$", Text/binary>>, D, Acc) ->
    {K, R} = string(Text, <<>>),
    <<$:, R1/binary>> = space(R),
    {V, R2} = value(space(R1), D),
    case space(R2) of
        <<$,, More/binary>> -> members(space(More), D, Acc#{K => V});
        <<$}, Rest/binary>> -> {Acc#{K => V}, Rest}
    end.

string(<<$", R/binary>>, Acc) -> {Acc, R};
string(<<$\\, $u, H:4/binary, R/binary>>, Acc) -> unicode(binary_to_integer(H, 16), R, Acc);
string(<<$\\, C, R/binary>>, Acc) -> string(R, <<Acc/binary, (unescaped(C))>>);
string(<<C/utf8, R/binary>>, Acc) when C >= 32 -> string(R, <<Acc/binary, C/utf8>>).

unicode(High, <<$\\, $u, L:4/binary, R/binary>>, Acc) when High >= 16#D800, High < 16#DC00 ->
    Low = binary_to_integer(L, 16),
    string(R, <<Acc/binary, (16#10000 + (High - 16#D800) * 16#400 + Low - 16#DC00)/utf8>>);
unicode(C, R, Acc) ->
    string(R, <<Acc/binary, C/utf8>>).

unescaped($n) -> $\n;
unescaped($r) -> $\r;
unescaped($t) -> $\t;
unescaped($b) -> $\b;
unescaped($f) -> $\f;
unescaped(C) when C =:= $"; C =:= $\\; C =:= $/ -> C.

number(Text) ->
    {match, [{0, Len} | Parts]} = re:run(Text, "^-?(?:0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?"),
    <<N:Len/binary, R/binary>> = Text,
    {numeric(N, Parts), R}.

numeric(N, []) -> binary_to_integer(N);
numeric(N, [{-1, 0}, {At, _}]) -> % 1e3 is no float to Erlang
    <<Whole:At/binary, Exp/binary>> = N,
    binary_to_float(<<Whole/binary, ".0", Exp/binary>>);
numeric(N, _) -> binary_to_float(N).

space(<<C, R/binary>>) when C =:= $\s; C =:= $\t; C =:= $\n; C =:= $\r -> space(R);
space(R) -> R.
