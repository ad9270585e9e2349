%% @doc One connection: reads requests of HTTP/1.0 and 1.1, and has them answered.
-module(erlmcp_connection).

-export([start_link/0, init/0]).

-define(IDLE, 30000).
-define(BODY, 1048576).
-define(HEADERS, 100).

start_link() ->
    {ok, proc_lib:spawn_link(?MODULE, init, [])}.

init() ->
    receive
        {serve, Socket} -> loop(Socket)
    after 5000 -> ok
    end.

loop(Socket) ->
    ok = inet:setopts(Socket, [{packet, http_bin}]),
    case gen_tcp:recv(Socket, 0, ?IDLE) of
        {ok, {http_request, Method, {abs_path, Path}, Version}} -> request(Socket, method(Method), Path, Version);
        {ok, _} -> answer(Socket, close, erlmcp_routes:plain(400, <<"bad request\n">>));
        {error, _} -> gen_tcp:close(Socket)
    end.

request(Socket, Method, Path, Version) ->
    case headers(Socket, #{}, ?HEADERS) of
        {ok, Headers} ->
            Keep = keep(Version, string:lowercase(maps:get(<<"connection">>, Headers, <<>>))),
            erlmcp_listener:busy(1),
            try
                answer(Socket, Keep, respond(Socket, Method, Path, Headers))
            after
                erlmcp_listener:busy(-1)
            end,
            [loop(Socket) || Keep =:= keep];
        error ->
            answer(Socket, close, erlmcp_routes:plain(400, <<"bad headers\n">>))
    end.

headers(_, _, 0) ->
    error;
headers(Socket, Acc, Left) ->
    case gen_tcp:recv(Socket, 0, ?IDLE) of
        {ok, {http_header, _, Name, _, Value}} -> headers(Socket, Acc#{header(Name) => Value}, Left - 1);
        {ok, http_eoh} -> {ok, Acc};
        _ -> error
    end.

header(Name) when is_atom(Name) -> string:lowercase(atom_to_binary(Name));
header(Name) -> string:lowercase(Name).

method(M) when is_atom(M) -> atom_to_binary(M);
method(M) -> M.

keep(_, <<"close">>) -> close;
keep({1, 1}, _) -> keep;
keep(_, <<"keep-alive">>) -> keep;
keep(_, _) -> close.

respond(Socket, Method, Path, Headers) ->
    erlmcp_metrics:count_request(),
    ok = inet:setopts(Socket, [{packet, raw}]),
    case body(Socket, Headers) of
        {ok, Body} ->
            [Only | _] = binary:split(Path, <<"?">>),
            try
                erlmcp_routes:answer(Method, Only, Body)
            catch
                Class:Reason:Stack ->
                    logger:error("~s ~s: ~p", [Method, Path, {Class, Reason, Stack}]),
                    erlmcp_routes:plain(500, <<"internal error\n">>)
            end;
        {error, Status} ->
            erlmcp_routes:plain(Status, <<"the body is not taken\n">>)
    end.

body(_, #{<<"transfer-encoding">> := _}) ->
    {error, 411};
body(Socket, #{<<"content-length">> := Text}) ->
    try binary_to_integer(Text) of
        0 -> {ok, <<>>};
        N when N < 0 -> {error, 400};
        N when N > ?BODY -> {error, 413};
        N ->
            case gen_tcp:recv(Socket, N, ?IDLE) of
                {ok, Body} -> {ok, Body};
                {error, _} -> {error, 400}
            end
    catch
        error:badarg -> {error, 400}
    end;
body(_, _) ->
    {ok, <<>>}.

%% After a body that was not read, the connection cannot go on.
answer(Socket, Keep, {Status, Headers, Body}) ->
    Close = Keep =:= close orelse lists:member(Status, [400, 411, 413]),
    gen_tcp:send(Socket, [
        "HTTP/1.1 ", integer_to_binary(Status), " ", reason(Status), "\r\n",
        [[N, ": ", V, "\r\n"] || {N, V} <- Headers],
        ["Connection: close\r\n" || Close],
        "Content-Length: ", integer_to_binary(iolist_size(Body)), "\r\n\r\n", Body
    ]),
    [gen_tcp:close(Socket) || Close].

reason(200) -> "OK";
reason(202) -> "Accepted";
reason(302) -> "Found";
reason(400) -> "Bad Request";
reason(404) -> "Not Found";
reason(405) -> "Method Not Allowed";
reason(411) -> "Length Required";
reason(413) -> "Content Too Large";
reason(503) -> "Service Unavailable";
reason(_) -> "Internal Server Error".
